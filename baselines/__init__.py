"""Null hypotheses: deliberately limited models, and the controls that keep them honest.

A leaf: it knows torch, timm and scikit-learn, and nothing of audits. Adding a null is one file here
and one name below.
"""

TRIVIAL = ("prior", "colour", "moments", "pixels")  # a linear model on a few numbers per image

LOCAL = ("bagnet", "coordconv")  # trained networks that see q x q pixels at a time

CONTROLS = ("circular", "sighted")  # trained by the same recipe, to separate the causes of a gap

QS = (5, 9, 17, 33)  # receptive fields, in pixels of the null's input

BLIND_TO = {
    "prior": "the image",
    "colour": "all arrangement of colours",
    "moments": "all but where brightness lies",
    "pixels": "anything that is not the same pixel in every image: it has no invariance",
    "bagnet": "any arrangement beyond {q} x {q} pixels",
    "coordconv": "any arrangement beyond {q} x {q} pixels, but told where each patch is",
    "circular": "any arrangement beyond {q} x {q} pixels, and position",
    "sighted": "nothing (control: same recipe and size, sees the whole image)",
    "stack": "what all the nulls together are blind to",
}

TITLES = {
    "prior": "prior",
    "colour": "colour",
    "moments": "moments",
    "pixels": "pixels",
    "bagnet": "BagNet-{q}",
    "coordconv": "CoordConv-{q}",
    "circular": "circular twin-{q}",
    "sighted": "sighted twin-{q}",
    "stack": "stack of nulls",
}
