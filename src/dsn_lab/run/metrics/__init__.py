"""What the test measures besides the loss, in torchmetrics' terms.

A metric is a function of the number of classes to a ``torchmetrics.Metric`` that is updated with
logits ``(batch, n_classes)`` and labels ``(batch,)`` and computes one number. What is registered as
``name`` is recorded as ``test_name``.
"""
