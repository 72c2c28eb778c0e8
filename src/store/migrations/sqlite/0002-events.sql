-- Events are facts that say whom they are about. Facts from before are told of as far as their connections are still there.

alter table history add column about text;

update history set about = (
  select json_object('app', app, 'provider', provider, 'owner', json_object('userId', user_id, 'orgCode', org_code))
  from connections
  where connections.tenant = history.tenant and connections.id = history.subject
)
where action in ('connection.connected', 'connection.renewal_failing', 'connection.recovered', 'connection.broken', 'connection.revoked');

create index history_events on history (tenant, seq) where about is not null;
create index history_events_by_session on history (tenant, subject, seq) where about is not null;

create table webhooks (
  tenant                text    not null,
  id                    text    not null,
  url                   text    not null,
  types                 text,
  allow_private_network integer not null check (allow_private_network in (0, 1)),
  data_key              blob    not null,
  secret                blob    not null,
  previous_secret       blob,
  previous_until        integer,
  position              integer not null,
  created_at            integer not null,
  primary key (tenant, id),
  check ((previous_secret is null) = (previous_until is null))
) strict;

create table deliveries (
  tenant       text    not null,
  webhook      text    not null,
  event        integer not null,
  session      text    not null,
  state        text    not null check (state in ('waiting', 'dead')),
  attempts     integer not null,
  retry_at     integer not null,
  reason       text,
  fence        integer not null,
  lease_holder text,
  lease_until  integer,
  created_at   integer not null,
  primary key (tenant, webhook, event),
  check ((lease_holder is null) = (lease_until is null))
) strict;

create index deliveries_due on deliveries (tenant, webhook, retry_at, event) where state = 'waiting';
create index deliveries_in_turn on deliveries (tenant, webhook, session, event) where state = 'waiting';
