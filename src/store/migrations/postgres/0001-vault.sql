-- The first schema. What every column holds is told in docs/storage.md; times are milliseconds since the epoch, lists are JSON.
-- What is compared or ordered is collated "C", by its bytes, wherever the database was made.

create table connections (
  tenant           text collate "C" not null,
  id               text collate "C" not null,
  app              text collate "C" not null,
  provider         text collate "C" not null,
  user_id          text collate "C",
  org_code         text collate "C",
  label            text collate "C",
  account_id       text,
  account_label    text,
  requested_scopes text not null,
  granted_scopes   text,
  data_key         bytea,
  access_token     bytea,
  refresh_token    bytea,
  extra            bytea,
  token_type       text not null,
  issued_at        bigint not null,
  expires_at       bigint,
  state            text not null check (state in ('connected', 'failing', 'broken', 'revoked')),
  trouble          text,
  reason           text,
  detail           text,
  upstream         text,
  version          bigint not null,
  fence            bigint not null,
  lease_holder     text,
  lease_started_at bigint,
  lease_until      bigint,
  created_at       bigint not null,
  connected_at     bigint not null,
  renewed_at       bigint,
  primary key (tenant, id),
  check (user_id is not null or org_code is not null),
  check ((data_key is null) = (access_token is null)),
  check (state <> 'failing' or trouble is not null),
  check ((state = 'broken') = (reason is not null)),
  check ((state = 'revoked') = (upstream is not null)),
  check ((lease_holder is null) = (lease_started_at is null) and (lease_holder is null) = (lease_until is null))
);

create index connections_by_age on connections (tenant, created_at, id);
create index connections_by_user on connections (tenant, user_id, created_at, id) where user_id is not null;
create index connections_by_org on connections (tenant, org_code, created_at, id) where org_code is not null;
create index connections_by_app on connections (tenant, app, created_at, id);
create index connections_by_state on connections (tenant, state, created_at, id);

create table attempts (
  tenant          text collate "C" not null,
  id              text collate "C" not null primary key,
  session         text collate "C" not null,
  app             text collate "C" not null,
  provider        text collate "C" not null,
  user_id         text collate "C",
  org_code        text collate "C",
  caller          text not null,
  binding         text not null,
  stage           text not null,
  connection      text collate "C",
  reconnects      text,
  callback_url    text,
  redirect_uri    text not null,
  scopes          text not null,
  issuer          text,
  issuer_required smallint not null check (issuer_required in (0, 1)),
  handle_hash     text collate "C",
  state_hash      text collate "C",
  browser_hash    text,
  completion_hash text,
  data_key        bytea not null,
  code_verifier   bytea,
  nonce           bytea,
  answer          bytea,
  reason          text,
  created_at      bigint not null,
  expires_at      bigint not null,
  added           bigint generated always as identity,
  check (user_id is not null or org_code is not null)
);

create index attempts_by_age on attempts (tenant, created_at, id);
create index attempts_by_session on attempts (session, created_at, added);
create unique index attempts_by_handle on attempts (handle_hash) where handle_hash is not null;
create unique index attempts_by_state on attempts (state_hash) where state_hash is not null;
create index attempts_by_expiry on attempts (expires_at, added);
create index attempts_to_empty on attempts (expires_at, added) where code_verifier is not null;

create table providers (
  tenant   text collate "C" not null default '*',
  id       text collate "C" not null,
  document text not null,
  primary key (tenant, id)
);

create table apps (
  tenant                text collate "C" not null,
  key_code_ref          text collate "C" not null,
  provider              text collate "C" not null,
  name                  text not null,
  client_id             text collate "C" not null,
  scopes                text not null,
  callback_url          text,
  allowed_callback_urls text not null,
  user_binding          text not null,
  config                text not null,
  one_per_owner         smallint not null check (one_per_owner in (0, 1)),
  shared_redirect_uri   smallint not null check (shared_redirect_uri in (0, 1)),
  data_key              bytea not null,
  client_secret         bytea,
  private_key           bytea,
  created_at            bigint not null,
  updated_at            bigint not null,
  primary key (tenant, key_code_ref)
);

create table callers (
  tenant      text collate "C" not null,
  client_id   text collate "C" not null primary key,
  secret_hash text not null,
  scopes      text not null,
  owner       text not null,
  expires_at  bigint,
  disabled    smallint not null check (disabled in (0, 1)),
  created_at  bigint not null
);

create table broker_keys (
  tenant     text collate "C" not null default '*',
  purpose    text collate "C" not null,
  id         text collate "C" not null,
  data_key   bytea not null,
  sealed     bytea not null,
  created_at bigint not null,
  primary key (tenant, purpose)
);

create table history (
  seq     bigint generated always as identity primary key,
  tenant  text collate "C" not null,
  at      bigint not null,
  actor   text not null,
  action  text not null,
  subject text not null,
  reason  text
);

create index history_by_tenant on history (tenant, seq);

-- records: changes of providers, apps, callers and keys. removed: the highest version of any connection that was removed.
-- pings: writes that only proved that the database can be written.
create table counters (
  name  text not null primary key,
  value bigint not null
);

insert into counters (name, value) values ('records', 0), ('removed', 0), ('pings', 0);
