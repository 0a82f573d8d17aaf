"""The validation function: an AWS Lambda that decides about payments and takes none."""
