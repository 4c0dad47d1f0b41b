"""System 2: a task borrows from the tasks of meta-training that it resembles."""

import matplotlib.pyplot as plt
from boxes import ORANGE, Diagram

diagram = Diagram(4)
support = diagram.box(0, 0, "support: rows $(x_i, y_i)$")
among = diagram.box(0, 1, "self-attention among\nrows and columns")
embedding = diagram.box(0, 2, "attention pooling:\ntask embedding $e$")
query = diagram.box(0, 3, "query rows $x$", ORANGE)
memory = diagram.box(1, 0, "memory: $e_j$ and $f_j$ of\neach meta-training task")
relation = diagram.box(
    1, 1.5, "relation $p_j$: attention to $e_j$,\nevidence under $f_j$"
)
related = diagram.box(2, 0, "$f_j$ and a departure,\nby $p_j$")
unrelated = diagram.box(2, 1.5, "no related task: process\nof system 1, by $p_0$")
prediction = diagram.box(2, 3, "mixture: mean and\ndeviation of $y$", ORANGE)
diagram.arrow(support, among)
diagram.arrow(among, embedding)
diagram.arrow(embedding, relation)
diagram.arrow(support, relation)
diagram.arrow(memory, relation)
diagram.arrow(memory, related)
diagram.arrow(relation, related)
diagram.arrow(relation, unrelated)
diagram.arrow(query, prediction)
diagram.arrow(unrelated, prediction)
diagram.around([related], prediction)
plt.show()
