"""The store of files: its streams outlive their process, and several processes read them.

In the folder of a store:

    store.json          the format's version, and how the last writer ended
    writer.lock         held by the one process that writes
    streams/<digest>/   one stream, in segments; the name is a digest of its key
    new/, trash/        streams that are not there yet, or not any more

A stream that its forks alone keep has a file `deleted` in its folder.
"""
