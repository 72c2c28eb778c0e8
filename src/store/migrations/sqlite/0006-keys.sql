-- Several keys of one purpose: a signing key that is replaced still verifies what it signed.

create table broker_keys_next (
  tenant     text    not null default '*',
  purpose    text    not null,
  id         text    not null,
  data_key   blob    not null,
  sealed     blob    not null,
  created_at integer not null,
  primary key (tenant, id)
) strict;

insert into broker_keys_next select tenant, purpose, id, data_key, sealed, created_at from broker_keys;
drop table broker_keys;
alter table broker_keys_next rename to broker_keys;

-- lived: the latest moment that a server said it was working on this database. restored: what that was when it was found to be put back.
insert into counters (name, value) values ('lived', 0), ('restored', 0);
