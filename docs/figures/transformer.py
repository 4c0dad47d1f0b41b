"""System 3: one encoder, and decoders for relations and query rows."""

import matplotlib.pyplot as plt
from boxes import ORANGE, Diagram

diagram = Diagram(5)
support = diagram.box(0, 0, "support: rows $(x_i, y_i)$")
encoder = diagram.box(0, 1, "Transformer encoder of\nrows and columns: tokens")
embedding = diagram.box(0, 2, "attention pooling:\ntask embedding $e$")
query = diagram.box(0, 4, "query rows $x$", ORANGE)
memory = diagram.box(1, 0, "memory: $e_j$ and $f_j$ of\neach meta-training task")
relation = diagram.box(
    1, 1, "decoder: each $e_j$ attends to\nthe tokens; relation $p_j$"
)
decoder = diagram.box(1, 3, "decoder: each query row\nattends to the tokens")
related = diagram.box(2, 0, "$f_j$ plus a residual,\nweighted by $p_j$")
kernels = diagram.box(2, 1, "other kernels: rougher, faster,\nperiodic")
gp = diagram.box(2, 2, "GP shifted by $e$,\ncorrected by the decoder")
average = diagram.box(2, 3, "averaged by their marginal\nlikelihood on the support")
prediction = diagram.box(2, 4, "mixture: mean and\nstd of $y$", ORANGE)
diagram.arrow(support, encoder)
diagram.arrow(encoder, embedding)
diagram.arrow(memory, relation)
diagram.arrow(encoder, relation)
diagram.arrow(encoder, decoder)
diagram.arrow(embedding, gp)
diagram.arrow(query, decoder)
diagram.arrow(decoder, gp)
diagram.arrow(relation, related)
diagram.arrow(gp, average)
diagram.arrow(average, prediction)
diagram.arrow(query, prediction)
diagram.around([related, kernels], average)
plt.show()
