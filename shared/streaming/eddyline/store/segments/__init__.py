"""A stream on the disk: segments of records, each beside the log of its writes.

In the folder of a stream:

    <first>.log         frames (frames.py): a header, then one for each write
    <first>.data        the records' bytes, one after the other, and nothing else
    committed           how far other processes may read

`<first>` is the sequence of a segment's first record. The bytes of a write are on the disk before
its frame is: so a frame that is whole vouches for its records.
"""
