//! MySQL and OceanBase wire protocol.
