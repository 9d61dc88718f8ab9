"""How long something takes, in words."""


def spelled(seconds: float) -> str:
    """A duration in its two largest units: ``45 s``, ``3 min``, ``2 h 5 min``, ``3 d 4 h``."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    hours = round(minutes / 60)
    return (
        f"{minutes // 60} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
    )
