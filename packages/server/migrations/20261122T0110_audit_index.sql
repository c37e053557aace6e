-- breaking: no
-- Reading the audit log: what makes blocks searchable, signs them and forgets their details. The blocks stay the truth.
--   * audit_lanes says of each lane how far checkpoints have come and whether readers are done with it, so that a job finds
--     lanes with new rows by one index entry for each lane that is not done, in all apps at once;
--   * audit_events is a projection of the blocks and can be made anew at any time;
--   * an intent without outcome waits in due_work under the kind audit_intent.

alter table audit_lanes
  add column checkpointed_seq bigint not null default 0,
  -- A checkpoint has said that the lane is closed.
  add column checkpointed_to_end boolean not null default false,
  -- Every row up to the closing block is in audit_events.
  add column projected_to_end boolean not null default false,
  -- Every runtime detail up to this row is pruned or was never there.
  add column pruned_to_seq bigint not null default 0,
  add column pruned_to_end boolean not null default false;

create index audit_lanes_unread on audit_lanes (app_id, chain_id) where not (checkpointed_to_end and projected_to_end);
create index audit_lanes_unpruned on audit_lanes (app_id, opened_at) where not pruned_to_end;

-- When the newest checkpoint of a scope was issued, so that a job knows where one is due without opening the scope.
create table audit_checkpoint_times (
  app_id uuid primary key,
  issued_at timestamptz not null
);

-- How far a lane is projected. Locked by whoever projects it.
create table audit_projections (
  app_id uuid not null,
  chain_id uuid not null,
  next_seq bigint not null default 1,
  primary key (app_id, chain_id)
);

-- One row for each audit row: what is searched for, and where in which block the row itself stands.
create table audit_events (
  app_id uuid not null,
  chain_id uuid not null,
  seq bigint not null,
  -- Place of the row's line in its block: the block's first row, and the byte range in its rows.
  block_seq bigint not null,
  line_at integer not null,
  line_bytes integer not null,
  event_id uuid not null,
  occurred_at timestamptz not null,
  stream text not null,
  event text not null,
  outcome text not null,
  decision_effect text,
  primary_reason text,
  key_id uuid,
  agent_id uuid,
  actor_id uuid,
  member_id uuid,
  app_user_id uuid,
  grant_id uuid,
  approval_id uuid,
  intent_id uuid,
  provider_id text,
  trace_id text,
  run_id text,
  thread_id text,
  reason text,
  method text,
  host text,
  url text,
  status integer,
  tool text,
  initiator text,
  resource_type text,
  primary key (app_id, chain_id, seq)
);
create index audit_events_by_time on audit_events (app_id, occurred_at, event_id);
create index audit_events_by_id on audit_events (app_id, event_id);
create index audit_events_by_trace on audit_events (app_id, trace_id) where trace_id is not null;
create index audit_events_by_approval on audit_events (app_id, approval_id) where approval_id is not null;
create index audit_events_of_changes on audit_events (app_id, stream, occurred_at, event_id) where stream <> 'runtime';

create table audit_exports (
  app_id uuid not null,
  export_id uuid not null,
  format text not null check (format in ('ndjson', 'csv')),
  filters jsonb not null,
  -- What the export holds, fixed when it was asked for: ranges of lanes and of checkpoints. Null for csv.
  extent jsonb,
  row_count integer not null,
  member_id uuid,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  primary key (app_id, export_id)
);
create index audit_exports_by_member on audit_exports (app_id, member_id, created_at);

-- A row is JSON text that PostgreSQL may refuse in one case: it has no character U+0000 (RFC 8259 has).
create function audit_json(p_text text) returns text language sql immutable parallel safe as
$$
  select case when position('\u0000' in p_text) = 0 then p_text
    else regexp_replace(p_text, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g') end
$$;

-- The host of a URL, lower-case and without its port; a bracketed address with its brackets.
create function audit_host(p_url text) returns text language sql immutable parallel safe as
$$
  select case when split_part(p_url, '://', 2) = '' then null
    when split_part(p_url, '://', 2) like '[%' then lower(split_part(split_part(p_url, '://', 2), ']', 1)) || ']'
    else lower(split_part(split_part(split_part(split_part(p_url, '://', 2), '/', 1), '?', 1), ':', 1)) end
$$;

-- The lines of a block with the byte range of each.
create function audit_lines(p_rows bytea)
  returns table (ordinal bigint, line_at integer, line_bytes integer, keep text, detail text)
  language sql immutable parallel safe as
$$
  select l.ordinal,
    (sum(octet_length(l.line) + 1) over (order by l.ordinal) - octet_length(l.line) - 1)::integer,
    octet_length(l.line),
    split_part(l.line, E'\t', 1),
    nullif(split_part(l.line, E'\t', 2), '')
  from string_to_table(convert_from(p_rows, 'UTF8'), E'\n') with ordinality l (line, ordinal)
  where l.line <> ''
$$;

-- Puts the rows of some blocks of a lane into audit_events, or one row of them. With p_is_new, intents without an outcome among
-- these rows begin to wait for one, and outcomes end the wait of theirs. Returns how many rows are new.
create function project_audit_blocks(p_app uuid, p_chain uuid, p_from bigint, p_to bigint, p_is_new boolean, p_ordinal bigint default null)
  returns integer language plpgsql volatile as
$$
declare
  v_inserted integer;
begin
  with projected as (
    insert into audit_events (
      app_id, chain_id, seq, block_seq, line_at, line_bytes, event_id, occurred_at, stream, event, outcome, decision_effect,
      primary_reason, key_id, agent_id, actor_id, member_id, app_user_id, grant_id, approval_id, intent_id, provider_id,
      trace_id, run_id, thread_id, reason, method, host, url, status, tool, initiator, resource_type)
    select p_app, p_chain, b.first_seq + l.ordinal - 1, b.first_seq, l.line_at, l.line_bytes,
      k.event_id, k.occurred_at, k.stream, k.event, k.outcome, k.decision_effect, k.primary_reason,
      k.key_id, k.agent_id, k.actor_id, k.member_id, k.app_user_id, k.grant_id, k.approval_id, k.intent_id,
      k.provider_id, k.trace_id, k.run_id, k.thread_id, k.reason,
      coalesce(d.method, d.declared_method), audit_host(coalesce(d.url, d.declared_url)), coalesce(d.url, d.declared_url),
      d.response_status, d.context ->> 'tool', d.initiator, d.resource_type
    from audit_blocks b
      cross join lateral audit_lines(b.rows) l
      cross join lateral json_to_record(audit_json(l.keep)::json) k (
        event_id uuid, occurred_at timestamptz, stream text, event text, outcome text, decision_effect text,
        primary_reason text, key_id uuid, agent_id uuid, actor_id uuid, member_id uuid, app_user_id uuid, grant_id uuid,
        approval_id uuid, intent_id uuid, provider_id text, trace_id text, run_id text, thread_id text, reason text)
      left join lateral json_to_record(case when left(l.detail, 1) = '{' then audit_json(l.detail)::json end) d (
        method text, declared_method text, url text, declared_url text, response_status integer, context json,
        initiator text, resource_type text) on true
    where b.app_id = p_app and b.chain_id = p_chain and b.first_seq >= p_from and b.first_seq < p_to
      and (p_ordinal is null or l.ordinal = p_ordinal)
    on conflict do nothing
    returning event_id, event, intent_id, occurred_at
  ), waiting as (
    insert into due_work (kind, app_id, subject_id, due_at)
    select 'audit_intent', p_app, i.event_id, i.occurred_at + interval '5 minutes'
    from projected i
    where p_is_new and i.event in ('proxy.requested', 'token.requested')
      and not exists (select from projected o where o.intent_id = i.event_id)
    on conflict do nothing
  ), answered as (
    delete from due_work w using projected o
    where p_is_new and w.kind = 'audit_intent' and w.app_id = p_app and w.subject_id = o.intent_id
  )
  select count(*) into v_inserted from projected;
  return v_inserted;
end
$$;

-- As above for new blocks of which some row is unreadable: what can be read is projected, the rest is left out.
-- A log that somebody has damaged stays searchable; the integrity check names the place.
create function project_damaged_audit_blocks(p_app uuid, p_chain uuid, p_from bigint, p_to bigint) returns integer
  language plpgsql volatile as
$$
declare
  v_block record;
  v_ordinal integer;
  v_inserted integer := 0;
begin
  for v_block in
    select first_seq, count from audit_blocks
    where app_id = p_app and chain_id = p_chain and first_seq >= p_from and first_seq < p_to order by first_seq
  loop
    for v_ordinal in 1 .. v_block.count loop
      begin
        v_inserted := v_inserted
          + project_audit_blocks(p_app, p_chain, v_block.first_seq, v_block.first_seq + 1, true, v_ordinal);
      exception when data_exception or not_null_violation or program_limit_exceeded then
        raise warning 'row % of lane % of scope % cannot be read', v_block.first_seq + v_ordinal - 1, p_chain, p_app;
      end;
    end loop;
  end loop;
  return v_inserted;
end
$$;

-- Projects up to about p_max_rows further rows of a lane, in the caller's transaction, which must see the scope.
-- No row: somebody else is at it (with p_wait it waits instead). is_done: nothing will follow.
create function project_audit_lane(p_app uuid, p_chain uuid, p_max_rows integer, p_wait boolean)
  returns table (rows_projected integer, next_seq bigint, is_done boolean)
  -- Compiling the statement would take longer than running it.
  language plpgsql volatile set jit = off as
$$
#variable_conflict use_column
declare
  v_from bigint;
  v_to bigint;
  v_ends boolean;
  v_rows integer := 0;
begin
  insert into audit_projections (app_id, chain_id)
  select p_app, p_chain
  where not exists (select from audit_projections p where p.app_id = p_app and p.chain_id = p_chain)
  on conflict do nothing;
  if p_wait then
    select p.next_seq into v_from from audit_projections p where p.app_id = p_app and p.chain_id = p_chain for update;
  else
    select p.next_seq into v_from from audit_projections p where p.app_id = p_app and p.chain_id = p_chain
      for update skip locked;
  end if;
  if v_from is null then return; end if;

  -- Whole blocks until there are enough rows; at least one block.
  select max(b.first_seq + greatest(b.count, 0)), coalesce(bool_or(b.count = 0), false) into v_to, v_ends
  from (
    select first_seq, count, sum(count) over (order by first_seq) - count as before
    from (
      select first_seq, count from audit_blocks
      where app_id = p_app and chain_id = p_chain and first_seq >= v_from order by first_seq limit 500
    ) next_blocks
  ) b
  where b.before < p_max_rows;

  if v_to > v_from then
    begin
      v_rows := project_audit_blocks(p_app, p_chain, v_from, v_to, true);
    exception when data_exception or not_null_violation or program_limit_exceeded then
      v_rows := project_damaged_audit_blocks(p_app, p_chain, v_from, v_to);
    end;
    update audit_projections p set next_seq = v_to where p.app_id = p_app and p.chain_id = p_chain;
  end if;
  if v_ends then
    update audit_lanes l set projected_to_end = true where l.app_id = p_app and l.chain_id = p_chain;
  end if;
  return query select v_rows, coalesce(v_to, v_from), v_ends;
end
$$;

-- The end of every lane that a reader is not done with: the last row, and whether the lane is closed. One index entry each.
-- p_app null: of all scopes, in a transaction that sees none.
create function audit_lane_tails(p_app uuid default null)
  returns table (app_id uuid, chain_id uuid, last_seq bigint, is_closed boolean,
    checkpointed_seq bigint, checkpointed_to_end boolean, projected_to_end boolean, next_seq bigint)
  language plpgsql volatile as
$$
#variable_conflict use_column
declare
  v_before text := current_setting('vault.app', true);
  v_lane record;
begin
  for v_lane in
    select l.app_id, l.chain_id, l.closed_at is not null as is_closed, l.checkpointed_seq, l.checkpointed_to_end,
      l.projected_to_end, coalesce(p.next_seq, 1) as next_seq
    from audit_lanes l left join audit_projections p on p.app_id = l.app_id and p.chain_id = l.chain_id
    where not (l.checkpointed_to_end and l.projected_to_end) and (p_app is null or l.app_id = p_app)
  loop
    perform set_config('vault.app', v_lane.app_id::text, true);
    return query
      select v_lane.app_id, v_lane.chain_id, coalesce(b.first_seq + b.count - 1, 0), v_lane.is_closed,
        v_lane.checkpointed_seq, v_lane.checkpointed_to_end, v_lane.projected_to_end, v_lane.next_seq
      from (select) one left join lateral (
        select first_seq, count from audit_blocks
        where app_id = v_lane.app_id and chain_id = v_lane.chain_id order by first_seq desc limit 1) b on true;
  end loop;
  perform set_config('vault.app', coalesce(v_before, ''), true);
end
$$;

-- Replaces the runtime details of whole blocks that ended before p_before by their hashes, from where it stopped last time,
-- at most p_max_blocks blocks, in the caller's transaction, which must see the scope. The projection follows.
-- blocks_seen < p_max_blocks: the lane is pruned as far as it can be now.
create function prune_audit_lane(p_app uuid, p_chain uuid, p_before timestamptz, p_max_blocks integer)
  returns table (details_pruned integer, blocks_seen integer)
  language plpgsql volatile set jit = off as
$$
declare
  v_from bigint;
  v_block record;
  v_last text;
  v_rows bytea;
  v_pruned integer;
  v_details integer := 0;
  v_seen integer := 0;
begin
  -- The projector holds this lock too: what it is putting into audit_events is there before it is looked for below.
  perform from audit_projections p where p.app_id = p_app and p.chain_id = p_chain for update;
  select l.pruned_to_seq + 1 into v_from from audit_lanes l
  where l.app_id = p_app and l.chain_id = p_chain and not l.pruned_to_end for update skip locked;
  if v_from is null then
    return query select 0, 0;
    return;
  end if;
  for v_block in
    select b.first_seq, b.count, b.rows from audit_blocks b
    where b.app_id = p_app and b.chain_id = p_chain and b.first_seq >= v_from order by b.first_seq limit p_max_blocks
  loop
    if v_block.count = 0 then
      update audit_lanes l set pruned_to_end = true where l.app_id = p_app and l.chain_id = p_chain;
      exit;
    end if;
    select substring(r.keep from '"occurred_at":"([^"]*)"') into v_last
    from audit_lines(v_block.rows) r order by r.ordinal desc limit 1;
    exit when v_last is null or v_last::timestamptz >= p_before;
    -- In canonical JSON a quotation mark inside a text is escaped, so this finds the member and nothing else.
    select count(*) filter (where r.is_due),
      convert_to(string_agg(r.keep || E'\t' || case when r.is_due
        then '#' || encode(sha256(convert_to(E'alter.audit.detail.v1\n' || r.detail, 'UTF8')), 'hex') else r.detail end
        || E'\n', '' order by r.ordinal), 'UTF8')
    into v_pruned, v_rows
    from (
      select l.*, position(',"stream":"runtime",' in l.keep) > 0 and left(l.detail, 1) <> '#' as is_due
      from audit_lines(v_block.rows) l
    ) r;
    if v_pruned > 0 then
      update audit_blocks b set rows = v_rows
      where b.app_id = p_app and b.chain_id = p_chain and b.first_seq = v_block.first_seq;
      delete from audit_events e
      where e.app_id = p_app and e.chain_id = p_chain and e.seq >= v_block.first_seq and e.seq < v_block.first_seq + v_block.count;
      if found then
        perform project_audit_blocks(p_app, p_chain, v_block.first_seq, v_block.first_seq + 1, false);
      end if;
      v_details := v_details + v_pruned;
    end if;
    v_seen := v_seen + 1;
    update audit_lanes l set pruned_to_seq = v_block.first_seq + v_block.count - 1
    where l.app_id = p_app and l.chain_id = p_chain;
  end loop;
  return query select v_details, v_seen;
end
$$;

do $$
declare
  t text;
begin
  foreach t in array array['audit_events', 'audit_exports'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy app_boundary on %I using (app_id = (select vault_app())) with check (app_id = (select vault_app()))', t);
  end loop;
end
$$;

grant select, insert, update, delete on audit_events, audit_exports, audit_projections, audit_checkpoint_times to alter_vault_server;
grant execute on function audit_json(text), audit_host(text), audit_lines(bytea),
  project_audit_blocks(uuid, uuid, bigint, bigint, boolean, bigint),
  project_damaged_audit_blocks(uuid, uuid, bigint, bigint), project_audit_lane(uuid, uuid, integer, boolean),
  audit_lane_tails(uuid), prune_audit_lane(uuid, uuid, timestamptz, integer) to alter_vault_server;
