"""Limits, waivers, the judge, the verdict on the gain, reasons and the headline."""
