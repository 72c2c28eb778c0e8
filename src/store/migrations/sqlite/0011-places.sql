-- needs: 9
-- Connections lie where their ids say (`places.ts`), which spares the token path an index. SQLite gives a table its key when it is made, so this
-- one is made anew. What has no place of its own, because another has it or an older version wrote it, lies after the others and is found by index.
create table connections_in_place (
  place            integer primary key,
  tenant           text    not null,
  id               text    not null,
  app              text    not null,
  provider         text    not null,
  user_id          text,
  org_code         text,
  label            text,
  account_id       text,
  account_label    text,
  requested_scopes text    not null,
  granted_scopes   text,
  data_key         blob,
  access_token     blob,
  refresh_token    blob,
  extra            blob,
  token_type       text    not null,
  issued_at        integer not null,
  expires_at       integer,
  state            text    not null check (state in ('connected', 'failing', 'broken', 'revoked')),
  trouble          text,
  reason           text,
  detail           text,
  upstream         text,
  version          integer not null,
  fence            integer not null,
  lease_holder     text,
  lease_started_at integer,
  lease_until      integer,
  created_at       integer not null,
  connected_at     integer not null,
  renewed_at       integer,
  due_at           integer,
  revocation       text,
  revoke_at        integer,
  used_at          integer,
  unique (tenant, id),
  check (user_id is not null or org_code is not null),
  check ((data_key is null) = (access_token is null)),
  check (state <> 'failing' or trouble is not null),
  check ((state = 'broken') = (reason is not null)),
  check ((state = 'revoked') = (upstream is not null)),
  check ((lease_holder is null) = (lease_started_at is null) and (lease_holder is null) = (lease_until is null))
) strict;

with digits (d) as (values ('-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz'))
insert or ignore into connections_in_place
select
  (max(instr(d, substr(id, 1, 1)) - 1, 0) << 42) | (max(instr(d, substr(id, 2, 1)) - 1, 0) << 36) |
  (max(instr(d, substr(id, 3, 1)) - 1, 0) << 30) | (max(instr(d, substr(id, 4, 1)) - 1, 0) << 24) |
  (max(instr(d, substr(id, 5, 1)) - 1, 0) << 18) | (max(instr(d, substr(id, 6, 1)) - 1, 0) << 12) |
  (max(instr(d, substr(id, 7, 1)) - 1, 0) << 6) | max(instr(d, substr(id, 8, 1)) - 1, 0),
  connections.*
from connections, digits order by tenant, id;

insert into connections_in_place select null, connections.* from connections
where not exists (select 1 from connections_in_place placed where placed.tenant = connections.tenant and placed.id = connections.id);

drop table connections;
alter table connections_in_place rename to connections;

create index connections_by_age on connections (tenant, created_at, id);
create index connections_by_user on connections (tenant, user_id, created_at, id) where user_id is not null;
create index connections_by_org on connections (tenant, org_code, created_at, id) where org_code is not null;
create index connections_by_app on connections (tenant, app, created_at, id);
create index connections_by_state on connections (tenant, state, created_at, id);
create index connections_due on connections (due_at, tenant, id) where due_at is not null;
create index connections_to_take_back on connections (revoke_at) where revoke_at is not null;
create index connections_by_label on connections (tenant, label, created_at, id) where label is not null;
