"""The product at work for hours, with all that is renewed living seconds or minutes in place of hours or months."""
