"""The AWS API of a region, as boto3 and the `aws` command speak it: one module per service."""
