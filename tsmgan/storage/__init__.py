"""Where files are: paths and URLs, what is fetched and put, and outputs that appear whole or not at all."""
