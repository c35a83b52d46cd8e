"""Commands of a person that are no stages."""
