"""Arrays to bytes and back, the same in every revision of the format: no paths, no input or output.

A list of ``n`` byte strings is held *flat*, as one ``uint8`` buffer and ``n + 1`` offsets into it, so that
many cells are built or taken apart by a handful of NumPy calls.

======================  ====================================================================
module                  arrays ⇄ bytes
======================  ====================================================================
``compression``         what a user asks for → codec documents; a pipeline of codecs
``codecs``              the single codecs behind a pipeline
``checksum``            CRC-32C
``flat``                pieces → one buffer with offsets, and back
``fragment_index``      fragments of many chunks ⇄ ``fragment_index_v1`` payloads
``manifests``           objects as lists of fragments ⇄ manifests
``ragged``              cells and their Zarr framing, ragged link blobs
``links``               link rows and permutation codes
``categorical``         strings, categoricals and datetimes ⇄ integer codes
``shard``               cells ⇄ one Zarr shard with its index
======================  ====================================================================
"""
