"""The file formats that are read, a file each; `luce.tables.read` chooses among them."""
