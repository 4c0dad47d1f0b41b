"""From rows as users have them to rows on the scale of the model."""
