"""System 2: a task shares strength with related meta-training tasks."""

import matplotlib.pyplot as plt
from boxes import ORANGE, Diagram

diagram = Diagram(4)
support = diagram.box(0, 0, "support: rows $(x_i, y_i)$")
among = diagram.box(0, 1, "self-attention among\nrows and columns")
embedding = diagram.box(0, 2, "attention pooling:\ntask embedding $e$")
query = diagram.box(0, 3, "query rows $x$", ORANGE)
memory = diagram.box(1, 0, "memory: $e_j$ and $f_j$ of\neach meta-training task")
relation = diagram.box(
    1, 1.5, "relation $p_j$: attention to $e_j$,\nlikelihood under $f_j$"
)
related = diagram.box(2, 0, "$f_j$ plus a residual,\nweighted by $p_j$")
null = diagram.box(2, 1.5, "no related task: GP of\nsystem 1, weighted by $p_0$")
prediction = diagram.box(2, 3, "mixture: mean and\nstd of $y$", ORANGE)
diagram.arrow(support, among)
diagram.arrow(among, embedding)
diagram.arrow(embedding, relation)
diagram.arrow(support, relation)
diagram.arrow(memory, relation)
diagram.arrow(memory, related)
diagram.arrow(relation, related)
diagram.arrow(relation, null)
diagram.arrow(query, prediction)
diagram.arrow(null, prediction)
diagram.around([related], prediction)
plt.show()
