-- When the broker itself looks after a connection. Most never are due, and stand in no index for it.
alter table connections add column due_at bigint;

create index connections_due on connections (due_at, tenant, id) where due_at is not null;
