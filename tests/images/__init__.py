"""Building the images and testing what is in them."""
