"""Drop rules, one a module: which weights go, chosen by ``dst.drop=<name>``.

A drop rule is a function decorated with ``@drops.register(name)`` that scores the active weights
of a group; those of smallest score are dropped, exactly as many as the drop fraction says.
"""

from collections.abc import Callable

from torch import Tensor

Score = Callable[[Tensor, Tensor], Tensor]
"""``(values, gradient) -> scores``, all ``(active,)``: a group's active weights, their gradient in
the last step before the update, and what they are worth."""
