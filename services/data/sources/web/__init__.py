"""Web sources: pages, feeds, sitemaps and WARC files, fetched politely and only from public addresses."""
