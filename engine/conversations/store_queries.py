"""What the store asks of its database, in SQL. Every query names the owner, or what was found by one."""

KEY = "SELECT id FROM conversation WHERE owner = ? AND name = ? AND deleted_at IS NULL"
LOAD = """
    SELECT id, title, pinned, created_at, updated_at, head FROM conversation
    WHERE owner = ? AND name = ? AND deleted_at IS NULL
"""
LIST = """
    SELECT name, iif(title = '', ifnull((SELECT beginning(content, 240) FROM message
                                         WHERE conversation = c.id ORDER BY id LIMIT 1), ''), title),
           pinned, created_at, updated_at,
           (SELECT count(*) FROM message WHERE conversation = c.id)
    FROM conversation AS c
    WHERE owner = ?1 AND deleted_at IS NULL AND (
        ?2 = '' OR instr(casefold(title), ?2) OR EXISTS (
            SELECT 1 FROM message WHERE conversation = c.id AND instr(casefold(content), ?2)))
    ORDER BY updated_at DESC, id DESC
"""
CREATE = """
    INSERT INTO conversation (owner, name, created_at, updated_at) VALUES (?, ?, ?, ?)
    ON CONFLICT DO NOTHING
"""
SUGGEST_TITLE = """
    UPDATE conversation SET title = ?
    WHERE owner = ? AND name = ? AND deleted_at IS NULL AND title = ''
"""
DROP_DELETED = """
    DELETE FROM conversation WHERE owner = ? AND name = ? AND deleted_at IS NOT NULL
"""
DELETE = "UPDATE conversation SET deleted_at = ?, purge_at = NULL WHERE id = ?"
UNDELETE = """
    UPDATE conversation SET deleted_at = NULL, purge_at = NULL
    WHERE owner = ? AND name = ? AND deleted_at IS NOT NULL
"""
ADD_MESSAGE = """
    INSERT INTO message (id, conversation, parent, role, content, status, edited)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING
"""
KEEP_TRAIL = "INSERT INTO trail (digest, conversation) VALUES (?, ?) ON CONFLICT DO NOTHING"
TRAIL = """
    SELECT name, hint FROM trail JOIN conversation AS c ON c.id = trail.conversation
    WHERE digest = ? AND owner = ? AND deleted_at IS NULL ORDER BY updated_at DESC, c.id DESC LIMIT ?
"""
PREFACE = "SELECT preface FROM conversation WHERE owner = ? AND name = ? AND deleted_at IS NULL"
OF_HINT = """
    SELECT name FROM conversation
    WHERE owner = ? AND hint = ? AND deleted_at IS NULL ORDER BY updated_at DESC, id DESC LIMIT ?
"""
OUTDATED = """
    SELECT owner, name FROM conversation
    WHERE substr(owner, 1, length(?1)) = ?1 AND updated_at < ?2 AND deleted_at IS NULL
    ORDER BY updated_at LIMIT 1000
"""
# SQLite's own count of the ids that AUTOINCREMENT has given.
BEGIN_IDS = """
    INSERT INTO sqlite_sequence (name, seq)
    SELECT 'message', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'message')
"""
RESERVE_IDS = "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'message' RETURNING seq"
# Deleted conversations too: a reply may still be streaming into one, and deleting can be undone.
UPDATE_MESSAGE = """
    UPDATE message SET content = ?, status = ?, ending = ?
    WHERE id = ? AND conversation IN (SELECT id FROM conversation WHERE owner = ?)
    RETURNING conversation
"""
DROP_ANCESTORS = """
    WITH RECURSIVE ancestor (id) AS (
        SELECT parent FROM message WHERE conversation = ?1 AND id = ?2
        UNION
        SELECT parent FROM message JOIN ancestor USING (id) WHERE conversation = ?1)
    DELETE FROM branch
    WHERE conversation = ?1 AND leaf IN (SELECT id FROM ancestor WHERE id IS NOT NULL)
"""
SAVE_BRANCH = """
    INSERT OR REPLACE INTO branch (conversation, leaf, tokens, segments, num_hidden)
    VALUES (?, ?, ?, ?, ?)
"""
# In this order, with the time and how long deleting can be undone. A clock that went back makes deletions young
# again; one that went ahead makes them old, but what is found to be old stays for as long once more.
PURGE = (
    "UPDATE conversation SET deleted_at = :now, purge_at = NULL WHERE deleted_at > :now",
    "UPDATE conversation SET purge_at = NULL WHERE purge_at > :now + :undo_s",
    "DELETE FROM conversation WHERE purge_at <= :now",
    "UPDATE conversation SET purge_at = :now + :undo_s WHERE deleted_at <= :now - :undo_s AND purge_at IS NULL",
)
