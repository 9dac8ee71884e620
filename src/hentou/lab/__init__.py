"""The collective on one computer: machines, boxes, lines and a small Internet, all real but the distance."""
