-- Several keys of one purpose: a signing key that is replaced still verifies what it signed.

alter table broker_keys drop constraint broker_keys_pkey;
alter table broker_keys add primary key (tenant, id);

-- lived: the latest moment that a server said it was working on this database. restored: what that was when it was found to be put back.
insert into counters (name, value) values ('lived', 0), ('restored', 0);
