"""Files of every format that the code reads or writes, checked at the border, written whole or not at all."""
