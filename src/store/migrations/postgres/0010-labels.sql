-- needs: 9
-- Whoever lists by label alone reads what bears it, and not all of a tenant.
create index connections_by_label on connections (tenant, label, created_at, id) where label is not null;
