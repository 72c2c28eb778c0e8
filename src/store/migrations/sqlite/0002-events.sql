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
