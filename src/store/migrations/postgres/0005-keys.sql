-- Several keys of one purpose: a signing key that is replaced still verifies what it signed.

alter table broker_keys drop constraint broker_keys_pkey;
alter table broker_keys add primary key (tenant, id);
