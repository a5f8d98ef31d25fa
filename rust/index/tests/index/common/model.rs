//! An index as it is promised to be: a map that is searched one by one, in double precision.
