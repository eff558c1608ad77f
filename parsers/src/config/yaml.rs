//! YAML with line and column for errors (the trusted loader; bounded before it is called).
