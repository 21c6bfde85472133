"""The real servers that tests run against, each started on free ports of this machine and ended with its test."""
