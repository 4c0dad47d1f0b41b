"""Attention over experts: the weight of each expert's prediction for a task.

The prediction of a stack of E experts is their mixture. Their weights are a softmax of

    logit_e + slope_e g(n) + c log p_e(y_s),

where n is the number of support rows and log p_e(y_s) the log marginal likelihood of
the support under expert e. With c = 1 and nothing else this is Bayesian model
averaging; the first two terms are fitted to tasks that the experts were not fitted to,
as in stacking (Yao et al. 2018, Using stacking to average Bayesian predictive
distributions, eq. 5).
"""

import torch
from torch import nn

EVIDENCE_WEIGHT = 0.7
"""The weight c of the evidence. Below 1, since no expert is the true model."""

SIZE_CENTER = 2.0
"""Log of 1 plus the number of support rows at which ``slope`` has no effect."""


class ExpertWeights(nn.Module):
    """Log weights of E experts for each task.

    Parameters
    ----------
    n_experts : int

    Attributes
    ----------
    logit, slope : tensor of shape (n_experts,)
    """

    def __init__(self, n_experts):
        super().__init__()
        self.register_buffer("logit", torch.zeros(n_experts))
        self.register_buffer("slope", torch.zeros(n_experts))

    def forward(self, n_rows, evidence):
        """Log weights (B, E).

        Parameters
        ----------
        n_rows : tensor of shape (B,)
            Sum of the weights of the support rows.
        evidence : tensor of shape (B, E)
        """
        size = n_rows.log1p()[:, None].to(evidence) - SIZE_CENTER
        logits = self.logit + self.slope * size + EVIDENCE_WEIGHT * evidence
        return logits.log_softmax(1)

    def set(self, logit, slope):
        """Set logits and slopes (n_experts,)."""
        self.logit, self.slope = logit.to(self.logit), slope.to(self.slope)

    def select(self, chosen):
        """The weights of some of the experts, given by their indices."""
        selected = ExpertWeights(len(chosen)).to(self.logit)
        selected.set(self.logit[list(chosen)], self.slope[list(chosen)])
        return selected
