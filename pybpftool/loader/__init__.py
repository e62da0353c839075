"""Object files to programs and maps in the kernel: what libbpf does, in its order.

What the file says (``spec``, made by ``read``) stands apart from what the kernel then has
(``load``).
"""
