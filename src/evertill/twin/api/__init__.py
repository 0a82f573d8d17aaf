"""The AWS API of a region, as boto3 and the `aws` command speak it: one module per service.

A handler is an object with one coroutine per operation, named as boto3's client names it:
`async def describe_services(self, **parameters: Any) -> dict[str, Any]`. It gets the parameters
that boto3 was called with, parsed by botocore's own model of the service (timestamps are aware
`datetime`s, blobs are `bytes`), returns what boto3's caller is to read, without `ResponseMetadata`,
and refuses by `errors.ApiError`. An operation that it does not have is answered with an error that
says so, and never with an empty success.
"""
