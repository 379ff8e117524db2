"""``fasa score``: LVIS and COCO results files to tables, JSON and CSV, beside the official tools with --verify."""
