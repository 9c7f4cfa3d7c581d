"""The client of Zoho CRM's API, version 8.

`client.ZohoClient` sends a request with a valid access token; `records`, `files`,
`notifications` and `metadata` have a function for each call of the API.
"""
