a file in place of the folder of drop-ins
