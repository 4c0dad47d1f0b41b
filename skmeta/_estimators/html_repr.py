"""HTML representation of meta-learners in notebooks."""

from types import SimpleNamespace

DOCUMENTATION = "https://skmeta.readthedocs.io/en/latest/"


class HTMLReprMixin:
    """HTML representation with the state and a link to the documentation."""

    _doc_link_module = "skmeta"
    _doc_link_template = DOCUMENTATION + "api/skmeta.{estimator_name}.html"

    def _sk_visual_block_(self):
        """Visual block of scikit-learn's diagrams, with the state below the name."""
        return SimpleNamespace(
            kind="single",
            estimators=self,
            names=type(self).__name__,
            name_details=str(self),
            name_caption=self._describe_state(),
            doc_link_label=None,
        )

    def _describe_state(self):
        words = []
        if self._is_meta_fitted():
            words.append(f"meta-fitted on {len(self.task_names_):,} tasks")
        if self.__sklearn_is_fitted__():
            words.append(f"adapted to {len(self._support[0]):,} rows")
        return ", ".join(words) or "new"
