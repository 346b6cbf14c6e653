"""Has this image classifier learned anything that a stupid model could not?"""

__version__ = "0.1.0"
