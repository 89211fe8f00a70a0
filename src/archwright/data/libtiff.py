"""Messages of libtiff, with which Pillow reads compressed TIFF files: it prints errors that Pillow raises as well.

Pillow silences its warnings for good, and so are its errors here: whoever decodes gets them as exceptions.
"""

from __future__ import annotations

from functools import cache


@cache
def silence() -> None:
    """Keep libtiff from printing to standard error, in this process."""
    import ctypes

    from PIL import _imaging

    try:
        library = ctypes.CDLL(_imaging.__file__)  # a symbol is found in what it is linked with, too
        handler = library.TIFFSetErrorHandler
    except (AttributeError, OSError):  # Pillow without libtiff, or one that it keeps to itself
        return
    handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
    handler(None)
