"""The page of ``fasa score --page``: one HTML file that needs nothing else; ``content`` joins its parts."""
