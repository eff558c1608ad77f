//! passwd, shadow, group and gshadow (passwd(5), shadow(5), group(5), gshadow(5)).
