"""System 1: attention conditions the base learner, the support trains it."""

import matplotlib.pyplot as plt
from boxes import GREY, ORANGE, Diagram

diagram = Diagram(4)
support = diagram.box(0, 0, "support: rows $(x_i, y_i)$")
tokens = diagram.box(0, 1, "a token for each row\nand each column")
embedding = diagram.box(0, 2, "attention pooling:\ntask embedding $e$")
query = diagram.box(0, 3, "query rows $x$", ORANGE)
tasks = diagram.box(
    1, 0, "task attention: which tasks\nare informative (meta_fit)", GREY, dashed=True
)
prior = diagram.box(2, 0, "GP prior of all tasks,\nshifted by $e$")
trained = diagram.box(2, 1, "hyperparameters trained\non the support")
posterior = diagram.box(2, 2, "posterior given the support")
prediction = diagram.box(2, 3, "mean and std of $y$", ORANGE)
diagram.arrow(support, tokens)
diagram.arrow(tokens, embedding)
diagram.arrow(embedding, prior)
diagram.arrow(tasks, prior)
diagram.arrow(prior, trained)
diagram.arrow(trained, posterior)
diagram.arrow(posterior, prediction)
diagram.arrow(query, prediction)
plt.show()
