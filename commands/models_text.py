"""How sizes and terms of models are written for people."""

from __future__ import annotations

from storage.manifest import Manifest

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def file_size(size: int) -> str:
    """E.g. "327 MB", in powers of 1000 and three digits."""
    amount, unit = float(size), 0
    while amount >= 999.5 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    digits = 0 if unit == 0 or amount >= 99.95 else 1
    return f"{amount:.{digits}f} {_UNITS[unit]}"


def licence_of(manifest: Manifest) -> dict[str, str]:
    """What a manifest says about terms, by what they are for."""
    licence = manifest.fields.get("licence")
    if isinstance(licence, dict):
        return {str(part): str(terms) for part, terms in licence.items()}
    return {"weights": str(licence) if licence else "unknown"}
