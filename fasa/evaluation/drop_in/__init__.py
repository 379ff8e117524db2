"""The names of lvis-api and pycocotools before this package's evaluation, for code that is written for those."""
