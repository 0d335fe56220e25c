"""Video in, the events that an event camera would have reported out.

`video` decodes, `upsampling` adds the frames between, `emulator` makes events with the inner loops
of `pixels`, and `simulate` does all of it from file to file.
"""
