"""Every word that the page says, in English, simplified and traditional Chinese.

Owns: the words and the choice of language. Sentences of the engine and the export (errors, notes)
pass through as they are. Does not know Gradio: `for_browser` is what its I18n takes, for labels that
the browser fills in; `say` is for text made here.
"""

from collections.abc import Mapping

ENGLISH = "en"
LANGUAGES = (ENGLISH, "zh-CN", "zh-TW")

_EN = {
    "tagline": "A chat that keeps what it has read: every turn computes only its new words.",
    "welcome": "What shall we talk about?",
    "welcome_more": "Runs on this machine with OpenVINO. Nothing you write leaves it.",
    "example_1": "What is OpenVINO?",
    "example_2": "What is the capital of France?",
    "example_3": "Write a short poem about the sea.",
    "example_4": "Explain to a child why the sky is blue.",
    "message_hint": "Write a message",
    "new_chat": "New chat",
    "settings": "Settings",
    "system_prompt": "System prompt",
    "system_prompt_info": "What the model should know or how it should answer. A change is read from the next message on.",
    "max_tokens": "Max tokens",
    "max_tokens_info": "Longest answer",
    "temperature": "Temperature",
    "temperature_info": "0 always takes the most likely word",
    "top_p": "Top-p",
    "top_p_info": "Share of the likeliest words; 1 is off",
    "top_k": "Top-k",
    "top_k_info": "Number of the likeliest words; 0 is off",
    "seed": "Seed",
    "seed_info": "Same seed, same answer; empty is random",
    "exporting": "Preparing the model {model} (first start only) …",
    "loading": "Loading the model …",
    "model_hub_unreachable": "The hub cannot be reached, so this is SmolLM2-135M, a small model that speaks English. Once online, --model OpenVINO/Qwen3-0.6B-int4-ov gets one for Chinese and English.",
    "model_not_on_hub": "The hub has neither of the Qwen3-0.6B models, so this is SmolLM2-135M, a small model that speaks English. --model takes others.",
    "model_small": "This is SmolLM2-135M, a small model that speaks English. --model OpenVINO/Qwen3-0.6B-int4-ov gets one for Chinese and English.",
    "ready": "{model}",
    "failed": "The model cannot be used. {reason}",
    "queued": "Waiting; your turn is next",
    "queued_behind": "Waiting; {ahead} ahead of you",
    "prefill": "Prefill {percent} %",
    "thinking": "Prefill …",
    "figures": "reused {reused} · prefilled {prefilled} · TTFT {ttft} s · {rate} tokens/s",
    "figures_short": "reused {reused} · prefilled {prefilled}",
    "stopped": "stopped",
    "length": "cut at max tokens",
    "surprise": "Something went wrong on the server; its log says more. Nothing is lost: try again.",
    "no_identity": "This page does not know its conversation yet. Reload it and try again.",
    "bad_setting": "A setting is not possible: {reason}",
    "source_disk": "disk",
    "source_memory": "memory",
    "source_recomputed": "recomputed",
    "saved": "saved about {seconds} s",
    "interrupted": "This answer was interrupted; use Retry for a whole one.",
    "hidden_above": "The model no longer sees what is above this line.",
    "search": "Search",
    "no_conversations": "No conversations yet",
    "undo": "Undo",
    "deleted": "Deleted.",
    "pin": "Pin",
    "unpin": "Unpin",
    "rename": "Rename",
    "delete": "Delete",
}

_ZH_CN = {
    "tagline": "读过的内容都记着：每一轮只计算新写的字。",
    "welcome": "想聊些什么？",
    "welcome_more": "由 OpenVINO 在本机运行，您写的内容不会离开这台机器。",
    "example_1": "OpenVINO 是什么？",
    "example_2": "法国的首都是哪里？",
    "example_3": "写一首关于大海的短诗。",
    "example_4": "给小朋友讲讲天空为什么是蓝色的。",
    "message_hint": "输入消息",
    "new_chat": "新对话",
    "settings": "设置",
    "system_prompt": "系统提示词",
    "system_prompt_info": "希望模型了解什么、怎样回答。修改后从下一条消息起生效。",
    "max_tokens": "最大词元数",
    "max_tokens_info": "回答的最大长度",
    "temperature": "温度",
    "temperature_info": "0 表示总是选最可能的词",
    "top_p": "Top-p",
    "top_p_info": "只在概率最高的这部分中选；1 为关闭",
    "top_k": "Top-k",
    "top_k_info": "只在最可能的这么多个中选；0 为关闭",
    "seed": "随机种子",
    "seed_info": "种子相同则回答相同；留空为随机",
    "exporting": "正在准备模型 {model}（仅首次启动需要）…",
    "loading": "正在加载模型…",
    "model_hub_unreachable": "无法连接模型站，现用的是 SmolLM2-135M：一个只会英语的小模型。联网后用 --model OpenVINO/Qwen3-0.6B-int4-ov 启动，即可获得中英双语模型。",
    "model_not_on_hub": "模型站上没有 Qwen3-0.6B，现用的是 SmolLM2-135M：一个只会英语的小模型。可用 --model 换成别的模型。",
    "model_small": "现用的是 SmolLM2-135M：一个只会英语的小模型。用 --model OpenVINO/Qwen3-0.6B-int4-ov 启动，即可获得中英双语模型。",
    "ready": "{model}",
    "failed": "模型无法使用。{reason}",
    "queued": "排队中，下一个就是您",
    "queued_behind": "排队中，前面还有 {ahead} 个",
    "prefill": "预填充 {percent} %",
    "thinking": "预填充…",
    "figures": "复用 {reused} · 预填充 {prefilled} · 首字 {ttft} 秒 · {rate} 词元/秒",
    "figures_short": "复用 {reused} · 预填充 {prefilled}",
    "stopped": "已停止",
    "length": "已达最大词元数",
    "surprise": "服务器出了点问题，详情见日志。内容没有丢失，请重试。",
    "no_identity": "页面还不知道当前的对话，请刷新后重试。",
    "bad_setting": "设置无效：{reason}",
    "source_disk": "磁盘",
    "source_memory": "内存",
    "source_recomputed": "已重新计算",
    "saved": "约省 {seconds} 秒",
    "interrupted": "这条回答被中断了，可点“重试”重新生成。",
    "hidden_above": "此线以上的内容模型已看不到。",
    "search": "搜索",
    "no_conversations": "还没有对话",
    "undo": "撤销",
    "deleted": "已删除。",
    "pin": "置顶",
    "unpin": "取消置顶",
    "rename": "重命名",
    "delete": "删除",
}

_ZH_TW = {
    "tagline": "讀過的內容都記得：每一輪只計算新寫的字。",
    "welcome": "想聊些什麼？",
    "welcome_more": "由 OpenVINO 在本機執行，您寫的內容不會離開這台機器。",
    "example_1": "OpenVINO 是什麼？",
    "example_2": "法國的首都是哪裡？",
    "example_3": "寫一首關於大海的短詩。",
    "example_4": "跟小朋友說說天空為什麼是藍色的。",
    "message_hint": "輸入訊息",
    "new_chat": "新對話",
    "settings": "設定",
    "system_prompt": "系統提示詞",
    "system_prompt_info": "希望模型知道什麼、怎麼回答。修改後從下一則訊息起生效。",
    "max_tokens": "最大詞元數",
    "max_tokens_info": "回答的最大長度",
    "temperature": "溫度",
    "temperature_info": "0 表示總是選最可能的詞",
    "top_p": "Top-p",
    "top_p_info": "只在機率最高的這部分中選；1 為關閉",
    "top_k": "Top-k",
    "top_k_info": "只在最可能的這麼多個中選；0 為關閉",
    "seed": "隨機種子",
    "seed_info": "種子相同則回答相同；留空為隨機",
    "exporting": "正在準備模型 {model}（僅首次啟動需要）…",
    "loading": "正在載入模型…",
    "model_hub_unreachable": "無法連線到模型站，現用的是 SmolLM2-135M：一個只會英語的小模型。連上網路後用 --model OpenVINO/Qwen3-0.6B-int4-ov 啟動，即可取得中英雙語模型。",
    "model_not_on_hub": "模型站上沒有 Qwen3-0.6B，現用的是 SmolLM2-135M：一個只會英語的小模型。可用 --model 換成別的模型。",
    "model_small": "現用的是 SmolLM2-135M：一個只會英語的小模型。用 --model OpenVINO/Qwen3-0.6B-int4-ov 啟動，即可取得中英雙語模型。",
    "ready": "{model}",
    "failed": "模型無法使用。{reason}",
    "queued": "排隊中，下一個就是您",
    "queued_behind": "排隊中，前面還有 {ahead} 個",
    "prefill": "預填充 {percent} %",
    "thinking": "預填充…",
    "figures": "重用 {reused} · 預填充 {prefilled} · 首字 {ttft} 秒 · {rate} 詞元/秒",
    "figures_short": "重用 {reused} · 預填充 {prefilled}",
    "stopped": "已停止",
    "length": "已達最大詞元數",
    "surprise": "伺服器出了點問題，詳情見記錄檔。內容沒有遺失，請再試一次。",
    "no_identity": "頁面還不知道目前的對話，請重新整理後再試。",
    "bad_setting": "設定無效：{reason}",
    "source_disk": "磁碟",
    "source_memory": "記憶體",
    "source_recomputed": "已重新計算",
    "saved": "約省 {seconds} 秒",
    "interrupted": "這則回答中斷了，可按「重試」重新產生。",
    "hidden_above": "此線以上的內容模型已看不到。",
    "search": "搜尋",
    "no_conversations": "還沒有對話",
    "undo": "復原",
    "deleted": "已刪除。",
    "pin": "釘選",
    "unpin": "取消釘選",
    "rename": "重新命名",
    "delete": "刪除",
}

TEXTS: Mapping[str, Mapping[str, str]] = {ENGLISH: _EN, "zh-CN": _ZH_CN, "zh-TW": _ZH_TW}
EXAMPLES = ("example_1", "example_2", "example_3", "example_4")


def say(language: str, key: str, **values: object) -> str:
    """The text `key` in `language`, with its places filled in."""
    return TEXTS[language][key].format(**values)


def for_browser() -> dict[str, dict[str, str]]:
    """The tables by the browser's language tag; zh alone is simplified, Hong Kong traditional."""
    aliases = {"zh": "zh-CN", "zh-SG": "zh-CN", "zh-HK": "zh-TW", "zh-MO": "zh-TW"}
    tables = {language: dict(TEXTS[language]) for language in LANGUAGES}
    return tables | {alias: tables[language] for alias, language in aliases.items()}


def language_of(accept_language: str | None) -> str:
    """The first language of an Accept-Language header (RFC 9110) that the page speaks."""
    for _, tag in sorted(map(_weighed, (accept_language or "").split(",")), reverse=True):
        if tag == "en" or tag.startswith("en-"):
            return ENGLISH
        if tag == "zh" or tag.startswith("zh-"):
            traditional = any(part in tag for part in ("tw", "hk", "mo", "hant"))
            return "zh-TW" if traditional else "zh-CN"
    return ENGLISH


def _weighed(item: str) -> tuple[float, str]:
    tag, _, weight = item.partition(";q=")
    try:
        return float(weight or 1), tag.strip().lower()
    except ValueError:
        return 0.0, tag.strip().lower()
