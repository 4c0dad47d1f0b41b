"""Student's t noise in GP regression, as weights of the support rows."""

import torch

N_STEPS = 5


@torch.no_grad()
def student_t_weight(condition, support, dof):
    """Weigh each row by the expected precision of its noise under Student's t.

    EM (Lange, Little and Taylor 1989, Robust statistical modeling using the t
    distribution, eq. 6): ``(dof + 1) / (dof + E[error^2] / noise)``, with the error's
    posterior in place of its value.

    Parameters
    ----------
    condition : callable
        ``condition(rows)`` conditions the GP on rows of other weights.
    support : Rows
    dof : tensor of shape ()
        Degrees of freedom.

    Returns
    -------
    weight : tensor of shape (B, S)
    """
    present = support.weight > 0
    weight = support.weight
    for _ in range(N_STEPS):
        # E-step: posterior of each row's error given the present weights
        adapted = condition(support._replace(weight=weight))
        own = adapted.noise / adapted.weight.where(present, 1.0)
        precision = torch.cholesky_inverse(adapted.factor)
        error = own * adapted.alpha
        variance = own - own**2 * precision.diagonal(dim1=1, dim2=2)
        squared = (error**2 + variance.clamp(min=0)) / adapted.noise
        # M-step: eq. 6
        expected = (dof + 1) / (dof + squared)
        weight = (support.weight * expected).to(support.weight)
    return weight
